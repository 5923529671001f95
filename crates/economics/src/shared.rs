//! Whether one device's secret opens others: asked before anything about chips.
