// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"chive/directory"
	"chive/directory/record"
)

// TestAlarmsAreNeverForgotten, whatever others cause: one line of each kind, and none
// about strangers that are shut out.
func TestAlarmsAreNeverForgotten(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		w.stop()
		if err := <-w.ended; err != nil {
			t.Fatal(err)
		}
		d, err := w.relay.newReplica()
		if err != nil {
			t.Fatal(err)
		}
		w.ended <- nil
		for _, what := range []directory.Matter{directory.ReportIllegal, directory.ReportOtherSelf, directory.ReportForked, directory.ReportEvidence} {
			d.report(directory.Report{What: what, RID: record.RID{9}})
		}
		for n := range 1000 {
			d.report(directory.Report{What: directory.ReportClosed, RID: record.RID{1, byte(n), byte(n >> 8)}})
			d.report(directory.Report{What: directory.ReportBadState, RID: record.RID{1, byte(n), byte(n >> 8)}})
		}
		d.report(directory.Report{What: directory.ReportLeft, RID: record.RID{1}})
		listed := d.machine.Newest().Table().At(0).RID
		d.report(directory.Report{What: directory.ReportClosed, RID: listed})
		var got []string
		for _, r := range d.reports {
			got = append(got, r.What)
		}
		if want := []string{
			reportWords[directory.ReportIllegal], reportWords[directory.ReportOtherSelf], reportWords[directory.ReportForked],
			reportWords[directory.ReportEvidence], reportWords[directory.ReportBadState], "a relay has broken the protocol and is shut out for an epoch (10s)",
		}; !slices.Equal(got, want) {
			t.Errorf("the reports are %q", got)
		}
		if n := len(d.reports); n < 2 || d.reports[n-1].Count != 1 || d.reports[n-1].Relay != listed || d.reports[n-2].Count != 1000 {
			t.Errorf("%+v", d.reports)
		}
	})
}

// failsLater is a Store that cannot be read after a time.
type failsLater struct {
	*MemoryStore
	at time.Time
}

func (s failsLater) Each(bucket string, f func(key, value []byte) error) error {
	if time.Now().After(s.at) {
		return errors.New("damaged sector")
	}
	return s.MemoryStore.Each(bucket, f)
}

// TestAStoreThatFailsIsLoggedOnceAMinute, though it is tried every few seconds.
func TestAStoreThatFailsIsLoggedOnceAMinute(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		var out bytes.Buffer
		w.stop()
		if err := <-w.ended; err != nil {
			t.Fatal(err)
		}
		r, err := New(Config{
			Genesis: w.doc, Identity: w.keys[0], Keys: w.rings[0], About: about(townAddr(0)), Store: failsLater{NewMemoryStore(), time.Now()},
			Transport: w.net.Host(townAddr(0).Addr()), Listen: townAddr(0), DrainTimeout: -1, Rand: rand.Reader, Log: zerolog.New(&out),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		pass(time.Second)
		r.replicate(ctx, nil)
		w.ended <- nil
		if n := strings.Count(out.String(), "takes no part"); n < 8 || n > 10 {
			t.Errorf("%d lines in ten minutes", n)
		}
	})
}
