//! bufferpool
