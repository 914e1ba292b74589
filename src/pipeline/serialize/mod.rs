//! Records become documents in a [`Block`].

pub mod block;
pub use block::{Block, Document, Tally};
#[derive(Debug)]
pub struct FileFacts;
impl FileFacts {
    pub fn new(_u: String, _i: [u8; 8], _f: super::parse::Format, _g: bool) -> Self {
        FileFacts
    }
    pub fn uri(&self) -> &str {
        ""
    }
    pub fn format(&self) -> super::parse::Format {
        super::parse::Format::Combined
    }
    pub fn guessed(&self) -> bool {
        false
    }
}
#[derive(Debug)]
pub struct Plan;
pub struct Worker;
impl Worker {
    pub fn new(_p: &Plan) -> Self {
        Worker
    }
    pub fn fill(&mut self, _p: &Plan, _f: &FileFacts, _c: &[u8], _o: u64, _b: &mut Block) {}
}
pub fn identity(_n: &str, _name: &[u8], _l: &[u8]) -> [u8; 8] {
    [0; 8]
}
pub fn too_long(_p: &Plan, _f: &FileFacts, _o: u64, _l: u64, _h: &[u8], _b: &mut Block) {}
