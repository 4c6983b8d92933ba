"""EasyTransfer's JSON sections and absl flags to one validated, typed, frozen configuration per command."""
