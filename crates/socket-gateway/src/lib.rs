//! Lockkeeper's Socket.IO interface.
