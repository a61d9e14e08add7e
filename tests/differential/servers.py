"""A psql that stays, and what it says of each statement."""
import os
import subprocess

# One for each run, so that several may go beside each other.
SCHEMA = f"differential_{os.getpid()}"


class Server:
    def __init__(self, connection):
        self.connection, self.seconds = connection, 30
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["psql", "-X", "-q", "-A", "-t", "-P", "null=NULL", "-v", "VERBOSITY=terse", self.connection],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )
        self.run([f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE", f"CREATE SCHEMA {SCHEMA}"])
        self.run(["SET client_min_messages = error", f"SET search_path = {SCHEMA}", "SET timezone = 'UTC'"])

    def run(self, statements):
        """The lines that each statement gives, an error's among them."""
        text = "".join(f"{statement}\n;\n\\echo <<done>>\n" for statement in statements)
        try:
            self.process.stdin.write(text)
            self.process.stdin.flush()
        except BrokenPipeError:
            return [["the connection is lost"]] * len(statements)
        found = []
        for _ in statements:
            lines = []
            while True:
                line = self.process.stdout.readline()
                if not line:
                    self.process.wait()
                    lines.append("the connection is lost")
                    break
                if line == "<<done>>\n":
                    break
                lines.append(line.rstrip("\n"))
            found.append(lines)
        return found

    def close(self):
        self.run([f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"])
        self.process.stdin.close()
        self.process.wait()

    def lost(self):
        return self.process.poll() is not None

    def timeout(self, seconds):
        self.seconds = seconds
        self.run([f"SET statement_timeout = '{seconds}s'"])

    def make(self, tables):
        """Has these tables and no others."""
        statements = ["SET statement_timeout = 0", f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE", f"CREATE SCHEMA {SCHEMA}"]
        for table in tables:
            statements += table.statements()
        return self.run(statements + [f"SET statement_timeout = '{self.seconds}s'"])


def outcome(lines):
    """What a statement came to: an error's message, or its rows in no order."""
    for line in lines:
        if line.startswith(("ERROR:", "FATAL:")) or "connection is lost" in line:
            return ("error", line)
    return ("rows", sorted(lines))
