package take

// running does not know on Windows: the heartbeat tells.
func running(int) bool { return true }
