"""The clinic's records: facts written once, sealed per patient, walled by clinic, told in a chain of audit events."""
