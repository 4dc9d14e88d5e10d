package webhook

// signal says that something happened. It holds one saying at most, so a burst is heard once.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

// raise never blocks.
func (s signal) raise() {
	select {
	case s <- struct{}{}:
	default:
	}
}
