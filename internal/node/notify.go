// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// startExtension is how much more time a start asks systemd for with each step: it may
// take as long as the network is out of reach.
const startExtension = 2 * time.Minute

// Notifier tells systemd how a daemon of Type=notify stands. Outside systemd its methods
// do nothing. Safe for concurrent use.
//
// Spec: product §8.
type Notifier struct{}

// Starting shows how far the start is, and asks for more time for it.
func (Notifier) Starting(percent int, text string) {
	tellSystemd(fmt.Sprintf("STATUS=%d %%: %s\nEXTEND_TIMEOUT_USEC=%d", percent, oneStatusLine(text), startExtension.Microseconds()))
}

// Ready says that the daemon serves, and shows text. It may be said again with another.
func (Notifier) Ready(text string) {
	tellSystemd(daemon.SdNotifyReady + "\nSTATUS=" + oneStatusLine(text))
}

// Status shows text.
func (Notifier) Status(text string) { tellSystemd("STATUS=" + oneStatusLine(text)) }

// Stopping says that the daemon drains.
func (Notifier) Stopping() {
	tellSystemd(daemon.SdNotifyStopping + "\nSTATUS=ends; circuits have a moment to end")
}

// Watch feeds systemd's watchdog until ctx ends, twice as often as it wants. alive is
// asked each time: it takes the locks that a stuck daemon holds, so that one that is
// stuck is restarted; false skips a beat. Without a watchdog it returns at once.
func (Notifier) Watch(ctx context.Context, alive func() bool) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval <= 0 {
		return
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		if alive() {
			tellSystemd(daemon.SdNotifyWatchdog)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// tellSystemd sends a state. That nobody listens is no fault of the daemon's.
func tellSystemd(state string) { _, _ = daemon.SdNotify(false, state) }

// oneStatusLine keeps a text from being read as further assignments.
func oneStatusLine(text string) string {
	out := []rune(text)
	for i, r := range out {
		if r < ' ' {
			out[i] = ' '
		}
	}
	return string(out)
}
