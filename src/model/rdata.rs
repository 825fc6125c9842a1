//! Record data between its zone-file text and its wire form.

use super::{Name, RecordType};

/// Uncompressed wire-form data of one record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rdata(Box<[u8]>);

impl Rdata {
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    pub fn from_wire(wire: &[u8]) -> Self {
        Rdata(wire.into())
    }

    /// Reads presentation form; relative names are below `origin`.
    pub fn parse(_rtype: RecordType, _text: &str, _origin: Option<&Name>) -> Result<Self, String> {
        todo!("model helper")
    }

    /// Presentation form, on one line, with absolute names.
    pub fn present(&self, _rtype: RecordType) -> String {
        todo!("model helper")
    }
}
