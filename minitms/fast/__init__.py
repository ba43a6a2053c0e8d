"""The fused loops that training runs on: each file says faster what the file whose name it bears defines."""
