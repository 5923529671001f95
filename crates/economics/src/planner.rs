//! Revocation methods and certificate lifetimes, and what each costs with one's own and with a managed authority.
