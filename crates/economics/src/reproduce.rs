//! The figures of two published articles beside ours: which inputs would give them, and what is wrong with them.
