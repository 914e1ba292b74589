//! Ships batches of blocks through the Bulk API.
