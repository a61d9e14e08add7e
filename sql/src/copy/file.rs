//! COPY with a file on the machine that the database runs on.

use std::io;
use std::path::Path;
use std::sync::Arc;

use helios_runtime::{InputFile, OutputFile};

use super::CopyPlan;
use crate::catalog::{READ_SERVER_FILES, WRITE_SERVER_FILES};
use crate::error::{Result, SqlError, SqlState};
use crate::session::{CopyDirection, Portal, Prepared, Session, Step};
use crate::value::{Batch, ColumnData};

/// Bytes read at once.
const BLOCK_BYTES: usize = 64 << 10;

impl Session {
    /// Runs a COPY between a table and the file `path`; gives the command tag.
    ///
    /// # Errors
    /// 42501 for who may not; what the file system says; those of the data, of reading and of writing.
    pub(crate) async fn copy_file(
        &mut self,
        portal: &mut Portal,
        plan: &CopyPlan,
        path: &str,
    ) -> Result<String> {
        self.check_may_copy(plan.direction()).await?;
        match plan.direction() {
            CopyDirection::In => self.load_file(portal.prepared.clone(), path).await,
            CopyDirection::Out => self.unload_to_file(portal, plan, path).await,
        }
    }

    async fn check_may_copy(&self, direction: CopyDirection) -> Result<()> {
        let catalog = self.newest_catalog().await?;
        let (role, name, what) = match direction {
            CopyDirection::In => (READ_SERVER_FILES, "pg_read_server_files", "from"),
            CopyDirection::Out => (WRITE_SERVER_FILES, "pg_write_server_files", "to"),
        };
        if self.who(&catalog).among(&catalog).has_role(role) {
            return Ok(());
        }
        Err(SqlError::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("must be superuser or have privileges of the {name} role to COPY {what} a file"),
        )
        .with_hint("Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone."))
    }

    async fn load_file(&mut self, prepared: Arc<Prepared>, path: &str) -> Result<String> {
        let mut copy = self.begin_load(prepared).await?;
        let mut file =
            InputFile::open(Path::new(path)).map_err(|error| not_opened(&error, path, CopyDirection::In))?;
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let read = file.read(&mut block).map_err(|error| {
                of_file(&error, format!("could not read from COPY file: {}", reason(&error)))
            })?;
            if read == 0 {
                return self.copy_done(copy).await;
            }
            self.copy_data(&mut copy, &block[..read]).await?;
        }
    }

    async fn unload_to_file(&mut self, portal: &mut Portal, plan: &CopyPlan, path: &str) -> Result<String> {
        if !path.starts_with('/') {
            return Err(SqlError::new(SqlState::INVALID_NAME, "relative path not allowed for COPY to file"));
        }
        self.start_copy(portal, plan).await?;
        let mut file = OutputFile::create(Path::new(path))
            .map_err(|error| not_opened(&error, path, CopyDirection::Out))?;
        loop {
            match Box::pin(self.step_here(portal, &mut None)).await? {
                Step::Rows(batch) => write(&mut file, &batch).map_err(|error| {
                    of_file(&error, format!("could not write to COPY file: {}", reason(&error)))
                })?,
                Step::Complete(tag) => return Ok(tag),
                _ => return Err(SqlError::internal("the rows of COPY end with its tag")),
            }
        }
    }
}

/// Writes what a batch holds as its one column.
fn write(file: &mut OutputFile, batch: &Batch) -> io::Result<()> {
    if let Some(column) = batch.columns.first()
        && let ColumnData::Bytes(pieces) = column.data()
    {
        let mut block = Vec::new();
        pieces.iter().for_each(|piece| block.extend_from_slice(piece));
        file.write(&block)?;
    }
    Ok(())
}

fn not_opened(error: &io::Error, path: &str, direction: CopyDirection) -> SqlError {
    let (what, command, does) = match direction {
        CopyDirection::In => ("reading", "FROM", "read"),
        CopyDirection::Out => ("writing", "TO", "write"),
    };
    match error.kind() {
        io::ErrorKind::IsADirectory if direction == CopyDirection::In => {
            SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{path}\" is a directory"))
        }
        io::ErrorKind::InvalidInput => {
            SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{path}\" is not a regular file"))
        }
        kind => {
            let message = format!("could not open file \"{path}\" for {what}: {}", reason(error));
            let refused = of_file(error, message);
            match kind {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => refused.with_hint(format!(
                    "COPY {command} instructs the PostgreSQL server process to {does} a file. You may want a client-side \
                     facility such as psql's \\copy."
                )),
                _ => refused,
            }
        }
    }
}

/// PostgreSQL's code for what the file system says.
pub(crate) fn of_file(error: &io::Error, message: String) -> SqlError {
    let state = match error.kind() {
        io::ErrorKind::NotFound => SqlState::UNDEFINED_FILE,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            SqlState::INSUFFICIENT_PRIVILEGE
        }
        io::ErrorKind::AlreadyExists => SqlState::DUPLICATE_FILE,
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => SqlState::WRONG_OBJECT_TYPE,
        io::ErrorKind::StorageFull => SqlState::DISK_FULL,
        _ => SqlState::IO_ERROR,
    };
    SqlError::new(state, message)
}

/// What the system says, without the number that Rust puts behind it.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
