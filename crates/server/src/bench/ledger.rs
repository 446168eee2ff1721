//! [`Ledger`]: which messages of one sender a receiver has, and which are missing.

/// Missing messages that are remembered; what is older is lost for good.
const REMEMBERED: usize = 4096;

/// The messages of one sender at one receiver.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The number of the next message; numbers go up from the first one that is sent.
    pub(crate) next: u64,
    missing: Vec<u64>,
    lost: u64,
}

/// What a message is to its receiver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Arrival {
    /// The one that is next, or a later one: so many before it are missing.
    Ahead(u64),
    /// One that was missing.
    Late,
    /// One that was there before.
    Again,
}

impl Ledger {
    /// The first message is number `first`.
    pub(crate) fn new(first: u64) -> Self {
        Self {
            next: first,
            ..Self::default()
        }
    }

    /// A message that is one of `variants`, while those below `sent` have been sent.
    pub(crate) fn arrived(&mut self, variant: usize, variants: usize, sent: u64) -> Arrival {
        let (variant, variants) = (variant as u64, variants as u64);
        let ahead = (variant + variants - self.next % variants) % variants;
        let missing = self
            .missing
            .iter()
            .rposition(|number| number % variants == variant);
        // The circle comes round again: of what it could be, it is what is nearest.
        let late = missing.filter(|&place| self.next - self.missing[place] <= ahead);
        if let Some(place) = late {
            self.missing.remove(place);
            return Arrival::Late;
        }
        if self.next + ahead >= sent || 2 * ahead > variants {
            return Arrival::Again;
        }
        self.missing.extend(self.next..self.next + ahead);
        self.next += ahead + 1;
        let surplus = self.missing.len().saturating_sub(REMEMBERED);
        self.missing.drain(..surplus);
        self.lost += surplus as u64;
        Arrival::Ahead(ahead)
    }

    /// How many are missing and will not come any more.
    pub(crate) fn lost(&self) -> u64 {
        self.lost + self.missing.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_around_the_circle() {
        let mut ledger = Ledger::default();
        for number in 0..20 {
            assert_eq!(ledger.arrived(number % 8, 8, 20), Arrival::Ahead(0));
        }
        assert_eq!((ledger.next, ledger.lost()), (20, 0));
    }

    #[test]
    fn what_is_left_out_is_lost_unless_it_comes_late() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.arrived(3, 8, 4), Arrival::Ahead(3));
        assert_eq!(ledger.lost(), 3);
        assert_eq!(ledger.arrived(1, 8, 4), Arrival::Late);
        assert_eq!(ledger.arrived(1, 8, 4), Arrival::Again);
        assert_eq!(ledger.arrived(3, 8, 4), Arrival::Again);
        assert_eq!((ledger.next, ledger.lost()), (4, 2));
    }

    #[test]
    fn however_much_is_under_way_it_is_what_is_nearest() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.arrived(2, 16, 1000), Arrival::Ahead(2));
        assert_eq!(ledger.arrived(1, 16, 1000), Arrival::Late);
        assert_eq!(ledger.arrived(1, 16, 1000), Arrival::Again);
        assert_eq!(ledger.arrived(3, 16, 1000), Arrival::Ahead(0));
        assert_eq!(ledger.lost(), 1);
    }

    #[test]
    fn neighbours_that_change_places_are_known_of_four_and_not_of_two() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.arrived(1, 4, 1000), Arrival::Ahead(1));
        assert_eq!(ledger.arrived(0, 4, 1000), Arrival::Late);
        assert_eq!(ledger.lost(), 0);
        let mut ledger = Ledger::default();
        assert_eq!(ledger.arrived(1, 2, 1000), Arrival::Ahead(1));
        assert_eq!(ledger.arrived(0, 2, 1000), Arrival::Ahead(0));
        assert_eq!(ledger.lost(), 1);
    }

    #[test]
    fn what_was_never_sent_is_one_too_many() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.arrived(0, 1, 1), Arrival::Ahead(0));
        assert_eq!(ledger.arrived(0, 1, 1), Arrival::Again);
    }

    #[test]
    fn memory_is_bounded() {
        let mut ledger = Ledger::default();
        for round in 1..=10 {
            ledger.arrived(511, 1024, round * 1024);
            ledger.arrived(1023, 1024, round * 1024);
        }
        assert_eq!(ledger.lost(), 10 * 1022);
        assert!(ledger.missing.len() <= REMEMBERED);
    }
}
