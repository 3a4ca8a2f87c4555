//! Each sentence of the document, with a frame on either side of it.
