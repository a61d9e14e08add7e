CREATE INDEX loans_of_reader ON loans (reader);
CREATE VIEW lent AS SELECT title, reader, due FROM books JOIN loans ON loans.book = books.id WHERE state = 'lent';
