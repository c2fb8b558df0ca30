//! A scripted language-model provider that needs no key.
