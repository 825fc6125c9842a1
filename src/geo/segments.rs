//! The world in order, cut where the decision changes: what a table is built from.

/// Decision numbers from here on have a meaning of their own.
pub const FIRST_RESERVED: u16 = 0xfffe;
/// The addresses of an IPv6 block that stand for IPv4 addresses; never looked up, never covered by a scope.
pub const EMBEDDED: u16 = 0xfffe;
/// A /64 in which the decision changes; see [`Segments::tails`].
pub const WITHIN_64: u16 = 0xffff;

/// Starts ascend from 0 and equal neighbours are one, so every boundary is a real one.
#[derive(Debug, Default)]
pub struct Segments {
    /// The top 64 bits.
    pub starts: Vec<u64>,
    pub decisions: Vec<u16>,
    /// Segments of the few /64 that operators divide further, each /64 from its first address on.
    pub tails: Vec<(u128, u16)>,
    last: u16,
    /// The /64 that is being divided.
    open: Option<u64>,
}

impl Segments {
    /// Calls come in ascending order of `start`, the first with 0.
    pub fn push(&mut self, start: u128, decision: u16) {
        let (block, first_of_block) = ((start >> 64) as u64, start as u64 == 0);
        if !self.starts.is_empty() && decision == self.last {
            return;
        }
        self.close_before(block);
        if first_of_block {
            self.boundary(block, decision);
        } else {
            if self.open != Some(block) {
                self.boundary(block, WITHIN_64);
                self.tails.push((start >> 64 << 64, self.last));
                self.open = Some(block);
            }
            self.tails.push((start, decision));
        }
        self.last = decision;
    }

    pub fn finish(mut self) -> Segments {
        if let Some(next) = self.open.and_then(|block| block.checked_add(1)) {
            self.open = None;
            self.boundary(next, self.last);
        }
        self
    }

    /// Ends the divided /64, where there is one before `block`.
    fn close_before(&mut self, block: u64) {
        if let Some(open) = self.open.filter(|open| *open < block) {
            self.open = None;
            self.boundary(open + 1, self.last);
        }
    }

    fn boundary(&mut self, start: u64, decision: u16) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.decisions.pop();
        }
        if self.decisions.last() != Some(&decision) {
            self.starts.push(start);
            self.decisions.push(decision);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: u128 = 1 << 64;

    #[test]
    fn equal_neighbours_are_one_segment() {
        let mut segments = Segments::default();
        for (start, decision) in [(0, 1), (ONE, 1), (2 * ONE, 2), (3 * ONE, 2), (4 * ONE, 1)] {
            segments.push(start, decision);
        }
        let segments = segments.finish();
        assert_eq!(segments.starts, [0, 2, 4]);
        assert_eq!(segments.decisions, [1, 2, 1]);
    }

    #[test]
    fn a_divided_64_keeps_its_parts_aside() {
        let mut segments = Segments::default();
        for (start, decision) in [(0, 1), (5 * ONE + 7, 2), (5 * ONE + 8, 1), (6 * ONE, 1)] {
            segments.push(start, decision);
        }
        let segments = segments.finish();
        assert_eq!(segments.starts, [0, 5, 6]);
        assert_eq!(segments.decisions, [1, WITHIN_64, 1]);
        assert_eq!(segments.tails, [(5 * ONE, 1), (5 * ONE + 7, 2), (5 * ONE + 8, 1)]);
    }

    #[test]
    fn neighbouring_divided_64s_are_each_whole() {
        let mut segments = Segments::default();
        for (start, decision) in [(0, 1), (5 * ONE + 7, 2), (6 * ONE + 1, 3), (u128::MAX, 4)] {
            segments.push(start, decision);
        }
        let segments = segments.finish();
        assert_eq!(segments.starts, [0, 5, 7, u64::MAX]);
        assert_eq!(segments.decisions, [1, WITHIN_64, 3, WITHIN_64]);
        let top = u128::MAX >> 64 << 64;
        assert_eq!(
            segments.tails,
            [(5 * ONE, 1), (5 * ONE + 7, 2), (6 * ONE, 2), (6 * ONE + 1, 3), (top, 3), (u128::MAX, 4)]
        );
    }
}
