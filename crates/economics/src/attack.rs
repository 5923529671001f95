//! What an attack on many devices costs the attacker.
