"""The transforms room: each transform is one short loop over the records of a trace, run through `bind`."""
