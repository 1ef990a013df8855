//! getting_started
