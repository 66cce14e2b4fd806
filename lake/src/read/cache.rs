//! A bounded cache: the least recently used value is forgotten first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Values by name, each with a weight in bytes.
#[derive(Debug)]
pub(crate) struct Cache<V> {
    most: u64,
    state: Mutex<State<V>>,
}

#[derive(Debug)]
struct State<V> {
    held: HashMap<Arc<str>, Slot<V>>,
    weight: u64,
    clock: u64,
}

#[derive(Debug)]
struct Slot<V> {
    value: Arc<V>,
    weight: u64,
    used: u64,
}

impl<V> Cache<V> {
    /// Holds up to `most` bytes, and one value even if it is larger.
    pub(crate) fn new(most: u64) -> Self {
        Self { most, state: Mutex::new(State { held: HashMap::new(), weight: 0, clock: 0 }) }
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<V>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let clock = state.clock;
        let slot = state.held.get_mut(name)?;
        slot.used = clock;
        Some(slot.value.clone())
    }

    pub(crate) fn put(&self, name: &str, value: Arc<V>, weight: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let used = state.clock;
        state.weight += weight;
        if let Some(before) = state.held.insert(Arc::from(name), Slot { value, weight, used }) {
            state.weight -= before.weight;
        }
        if state.weight > self.most {
            state.shrink(self.most);
        }
    }

    /// Bytes held.
    pub(crate) fn weight(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).weight
    }
}

impl<V> State<V> {
    /// Forgets the least recently used until an eighth is free, so that this is not done for every value.
    fn shrink(&mut self, most: u64) {
        let mut ages: Vec<(u64, Arc<str>)> = self.held.iter().map(|(name, slot)| (slot.used, name.clone())).collect();
        ages.sort_unstable();
        ages.pop();
        for (_, name) in ages {
            if self.weight <= most - most / 8 {
                break;
            }
            if let Some(slot) = self.held.remove(&name) {
                self.weight -= slot.weight;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_is_forgotten_first_and_the_bound_holds() {
        let cache = Cache::new(100);
        for name in ["a", "b", "c"] {
            cache.put(name, Arc::new(name.to_owned()), 30);
        }
        assert!(cache.get("a").is_some());
        cache.put("d", Arc::new("d".to_owned()), 30);
        assert!(cache.weight() <= 100);
        assert!(cache.get("b").is_none(), "b was used least recently");
        assert_eq!(*cache.get("d").unwrap(), "d");
        cache.put("d", Arc::new("d2".to_owned()), 10);
        assert_eq!(*cache.get("d").unwrap(), "d2");
        cache.put("huge", Arc::new("huge".to_owned()), 1000);
        assert!(cache.get("huge").is_some());
        assert_eq!(cache.weight(), 1000);
    }
}
