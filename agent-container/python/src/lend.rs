//! Lends the engine's desk to Python code for the length of one callback. The only file of this crate with unsafe code.
//!
//! The engine hands its strategy a `&mut Desk` for one call; Python code can only reach it through the strategy object, which
//! outlives the call. So the object holds a pointer that is set for the length of the call and taken out while it is used.

#![allow(unsafe_code, reason = "a borrow that crosses Python code cannot be written as a lifetime")]

use crate::book::Session;
use pyo3::{Py, Python};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Where a strategy finds its session, if it is being called.
#[derive(Debug, Default)]
pub(crate) struct Lent(AtomicPtr<()>);

/// Puts a pointer back when it goes out of scope, also on a panic.
struct Put<'a>(&'a Lent, *mut ());

impl Drop for Put<'_> {
    fn drop(&mut self) {
        self.0.0.store(self.1, Ordering::Relaxed);
    }
}

impl Lent {
    /// Makes `call` while [`Self::with`] finds the session. Nothing else touches the session meanwhile: it is borrowed.
    pub(crate) fn lend<R>(&self, _py: Python<'_>, session: &mut Session<'_, '_>, call: impl FnOnce() -> R) -> R {
        let before = self.0.swap(ptr::from_mut(session).cast(), Ordering::Relaxed);
        let _put = Put(self, before);
        call()
    }

    /// Uses the session; `None` outside a callback, or from within `act`. `act` must not run Python code: it would only
    /// find no session, but another thread could then end the loan.
    pub(crate) fn with<R>(&self, _py: Python<'_>, act: impl FnOnce(&mut Session<'_, '_>) -> R) -> Option<R> {
        let at = self.0.swap(ptr::null_mut(), Ordering::Relaxed);
        let _put = Put(self, at);
        // SAFETY: a pointer that is not null was made by `lend` from a mutable borrow which lasts until `lend` has put the
        // former pointer back, and `lend` is still in its call: this thread holds the interpreter lock (`_py`; the module is
        // built for the stable ABI, which has no free-threaded form), `act` does not give it up, and `lend` cannot return
        // without it. Nobody else uses the session: `lend` itself does not while it is lent, and a second `with` finds null.
        // The lifetimes of the session are erased and `act` takes any, so it can keep nothing.
        let session = unsafe { at.cast::<Session<'_, '_>>().as_mut() };
        session.map(act)
    }
}

/// True if only we hold the object, so that nobody sees it change.
pub(crate) fn is_only_ours<T>(_py: Python<'_>, object: &Py<T>) -> bool {
    // SAFETY: the object is alive as long as `object`, and the interpreter lock is held.
    unsafe { pyo3::ffi::Py_REFCNT(object.as_ptr()) == 1 }
}
