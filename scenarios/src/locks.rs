//! Which `parking_lot` the application's own locks are: 0.12 like those of `prometheus`, or 0.13 beside them.
//!
//! Two versions in one process are two tables of parked threads; a cycle across them is invisible to `parking_lot`'s own
//! detector.

/// The chosen version.
pub(crate) mod parking_lot {
    #[cfg(not(feature = "parking-lot-0-13"))]
    pub(crate) use ::parking_lot::*;
    #[cfg(feature = "parking-lot-0-13")]
    pub(crate) use parking_lot_0_13::*;
}
