//! Which clauses of which framework a fleet can show something for, and what is missing.
