//! How ready an organisation is to run a PKI: scores, and the artefacts that scores above two need.
