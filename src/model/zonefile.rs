//! Zone files (RFC 1035 section 5): import with every error by line, canonical export.
