//! All of Lockkeeper's store ports in one local file, or in memory.
