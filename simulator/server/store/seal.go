package store

// KeyFile is the name, beside the database, of the key that secrets are sealed with.
const KeyFile = "ota.key"
