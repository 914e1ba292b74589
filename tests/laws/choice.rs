//! The first bytes of an input, as choices.

/// Takes choices from the start of `data`; 0 where nothing is left, so that every input is a case.
pub struct Choices<'d> {
    /// What was not taken.
    pub rest: &'d [u8],
}

impl<'d> Choices<'d> {
    pub fn new(data: &'d [u8]) -> Choices<'d> {
        Choices { rest: data }
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    /// A number of two bytes, the low one first.
    pub fn number(&mut self) -> usize {
        usize::from(self.byte()) | usize::from(self.byte()) << 8
    }
}
