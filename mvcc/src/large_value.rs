//! Reading values that lie on pages of their own.
//!
//! A value may be larger than the cache, so a fault in its middle must not start it over: what was read is kept until
//! the caller comes back. That is safe at any time, because a chain never changes and its pages are never reused.
//!
//! Invariant: pages are pinned for a bounded number of them at a time.

use helios_btree::{ChainReader, ReadPages};

use crate::error::{Fault, FaultReason};

/// Pages read under one pin.
const PAGES_AT_ONCE: usize = 1024;

/// A value partly read, kept from fault to fault.
#[derive(Debug, Default)]
pub(crate) struct PartialValue(Option<ChainReader>);

impl PartialValue {
    /// Reads the value that the 16 bytes of a leaf's cell name.
    ///
    /// # Errors
    /// The fault to resolve before trying again.
    pub(crate) fn read<P: ReadPages<Fault = Fault>>(
        &mut self,
        pages: &P,
        pointer: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let pointer: [u8; 16] = pointer.try_into().unwrap_or_default();
        let mut chain = self
            .0
            .take()
            .filter(|chain| *chain.pointer() == pointer)
            .unwrap_or_else(|| ChainReader::new(pointer));
        match chain.read(pages, PAGES_AT_ONCE) {
            Ok(true) => Ok(chain.into_value()),
            Ok(false) => {
                self.0 = Some(chain);
                Err(Fault(FaultReason::Pause))
            }
            Err(fault) => {
                self.0 = Some(chain);
                Err(fault)
            }
        }
    }
}
