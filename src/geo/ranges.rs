//! Sorted ranges of one address family. A range reaches to the start of the next.

/// Keys are the top 64 bits of an IPv6 address, or an IPv4 address in the upper half.
#[derive(Debug, Clone)]
pub struct Ranges {
    /// Ascending; the first is 0, so that every key is in a range.
    starts: Vec<u64>,
    classes: Vec<u32>,
}

impl Ranges {
    /// One range over everything.
    pub fn of(class: u32) -> Ranges {
        Ranges { starts: vec![0], classes: vec![class] }
    }

    /// Ranges in ascending order of their starts, the first at 0; equal neighbours become one.
    pub fn collect(parts: impl Iterator<Item = (u64, u32)>) -> Ranges {
        let mut all = Ranges { starts: Vec::new(), classes: Vec::new() };
        for (start, class) in parts {
            if all.classes.last() != Some(&class) {
                all.starts.push(start);
                all.classes.push(class);
            }
        }
        all.starts.shrink_to_fit();
        all.classes.shrink_to_fit();
        all
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, u32)> + Clone {
        self.starts.iter().copied().zip(self.classes.iter().copied())
    }

    /// The ranges from the one around `key` on.
    pub fn from(&self, key: u64) -> impl Iterator<Item = (u64, u32)> {
        let at = self.starts.partition_point(|start| *start <= key).saturating_sub(1);
        self.starts.iter().copied().zip(self.classes.iter().copied()).skip(at)
    }

    /// The class of a key, and the length of the largest block around it that lies in one range.
    pub fn find(&self, key: u64) -> (u32, u8) {
        let next = self.starts.partition_point(|start| *start <= key);
        let at = next.saturating_sub(1);
        let before = self.starts.get(at).and_then(|start| start.checked_sub(1));
        let class = self.classes.get(at).copied().unwrap_or_default();
        (class, block_length(key, before, self.starts.get(next).copied()))
    }
}

/// The length of the largest block around `key` without the last key before its range and the first after.
#[inline]
pub fn block_length(key: u64, before: Option<u64>, after: Option<u64>) -> u8 {
    let apart = |other: Option<u64>| other.map_or(0, |other| (key ^ other).leading_zeros() as u8 + 1);
    apart(before).max(apart(after))
}

/// Two lists as one: every boundary of either, with both classes.
pub fn intersect(left: &Ranges, right: &Ranges) -> Vec<(u64, u32, u32)> {
    let mut both = Vec::with_capacity(left.starts.len() + right.starts.len());
    let (mut a, mut b) = (left.iter().peekable(), right.iter().peekable());
    let (mut class_a, mut class_b) = (0, 0);
    while let Some(start) = a.peek().into_iter().chain(b.peek()).map(|(start, _)| *start).min() {
        if let Some((_, class)) = a.next_if(|(at, _)| *at == start) {
            class_a = class;
        }
        if let Some((_, class)) = b.next_if(|(at, _)| *at == start) {
            class_b = class;
        }
        both.push((start, class_a, class_b));
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_the_range_that_starts_at_or_before_it() {
        let ranges = Ranges::collect([(0, 0), (16, 1), (20, 1), (32, 0)].into_iter());
        assert_eq!(ranges.iter().count(), 3);
        for (key, class, length) in [(0, 0, 60), (15, 0, 60), (16, 1, 60), (31, 1, 60), (32, 0, 59), (u64::MAX, 0, 1)] {
            assert_eq!(ranges.find(key), (class, length), "{key}");
        }
        assert_eq!(Ranges::of(7).find(42), (7, 0));
    }

    #[test]
    fn an_intersection_has_the_boundaries_of_both() {
        let left = Ranges::collect([(0, 1), (10, 2)].into_iter());
        let right = Ranges::collect([(0, 5), (10, 6), (12, 7)].into_iter());
        assert_eq!(intersect(&left, &right), [(0, 1, 5), (10, 2, 6), (12, 2, 7)]);
    }
}
