//! What a fleet costs over its life, by where its keys are.
