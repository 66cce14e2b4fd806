//! Who may come in: how many peers, how many of one address, how many that have not shaken hands.

use super::Settings;
use ahash::RandomState;
use std::collections::HashMap;
use std::net::IpAddr;

/// Counts connections. Only peers that have shaken hands use up the limits that refuse others; those that have not are
/// limited apart, and there the newest wins, so that a flood of half-open connections keeps nobody out who means it.
#[derive(Debug)]
pub(super) struct Admission {
    open: usize,
    half_open: usize,
    by_address: HashMap<IpAddr, usize, RandomState>,
    max_open: usize,
    max_per_address: usize,
    max_half_open: usize,
}

impl Admission {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            open: 0,
            half_open: 0,
            by_address: HashMap::default(),
            max_open: settings.connections,
            max_per_address: settings.connections_per_address,
            max_half_open: settings.half_open,
        }
    }

    /// Whether one more peer of this address may be open.
    pub(super) fn has_room(&self, address: IpAddr) -> bool {
        self.open < self.max_open && self.by_address.get(&address).is_none_or(|n| *n < self.max_per_address)
    }

    /// Whether somebody who has not shaken hands must go before another comes in.
    pub(super) const fn is_crowded(&self) -> bool {
        self.half_open >= self.max_half_open
    }

    /// A connection came in.
    pub(super) const fn entered(&mut self) {
        self.half_open += 1;
    }

    /// It has shaken hands; false if there is no room for it any more.
    pub(super) fn opened(&mut self, address: IpAddr) -> bool {
        if !self.has_room(address) {
            return false;
        }
        self.half_open -= 1;
        self.open += 1;
        *self.by_address.entry(address).or_insert(0) += 1;
        true
    }

    /// It is gone.
    pub(super) fn left(&mut self, address: IpAddr, was_open: bool) {
        if !was_open {
            self.half_open -= 1;
            return;
        }
        self.open -= 1;
        if let Some(n) = self.by_address.get_mut(&address) {
            *n -= 1;
            if *n == 0 {
                self.by_address.remove(&address);
            }
        }
    }

    pub(super) const fn open(&self) -> usize {
        self.open
    }

    pub(super) const fn half_open(&self) -> usize {
        self.half_open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn admission(connections: usize, per_address: usize, half_open: usize) -> Admission {
        let mut config = Config::default();
        config.limits.connections = connections;
        config.limits.connections_per_address = per_address;
        config.limits.half_open = half_open;
        Admission::new(&Settings::new(&config, &config.limits))
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn one_address_cannot_use_up_the_room_of_others() {
        let mut admission = admission(10, 2, 10);
        for _ in 0..2 {
            admission.entered();
            assert!(admission.opened(address(1)));
        }
        assert!(!admission.has_room(address(1)) && admission.has_room(address(2)));
        admission.left(address(1), true);
        assert!(admission.has_room(address(1)));
    }

    #[test]
    fn connections_that_shook_hands_at_once_do_not_exceed_the_limit() {
        let mut admission = admission(1, 1, 10);
        admission.entered();
        admission.entered();
        assert!(admission.opened(address(1)));
        assert!(!admission.opened(address(2)));
        admission.left(address(2), false);
        assert_eq!((admission.open(), admission.half_open()), (1, 0));
    }

    #[test]
    fn half_open_connections_take_no_room_from_peers() {
        let mut admission = admission(1, 1, 2);
        admission.entered();
        admission.entered();
        assert!(admission.is_crowded() && admission.has_room(address(1)));
    }
}
