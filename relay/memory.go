// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"iter"
	"slices"
	"time"

	"chive/directory"
	"chive/directory/record"
	"chive/internal/redact"
)

// Limits of the memory's writer.
const (
	batchFor     = 5 * time.Second // the longest that what may be lost waits for its transaction
	retryStore   = 5 * time.Second // after a transaction that failed
	lookStore    = 5 * time.Second // between two looks whether the store's file is there
	maxUnwritten = 1 << 17         // writes that wait; beyond it those that may be lost are
)

// bucketNames name the machine's buckets in a store, viewBucket the role's own.
var bucketNames = [directory.BucketCount]string{
	directory.BucketDesc: "desc", directory.BucketCert: "cert", directory.BucketAux: "aux",
	directory.BucketSelf: "self", directory.BucketPeer: "peer", directory.BucketCand: "cand",
}

const viewBucket = "view"

// Keys of the role's own values. lostKey stands in the bucket self (see loss). The
// machine passes it over.
var (
	lostKey   = []byte("lost")
	otherKey  = []byte("other")  // see otherTill
	clientKey = []byte("client") // what the relay has as a client
	pastKey   = []byte("past")   // what the directory server knows of former epochs
)

// memory writes what the machine wants stored. It belongs to the loop.
//
// A transaction is made before the next effect that anybody could notice, but for one
// kind of write, which waits for up to batchFor or for the next transaction: the
// descriptors of other relays, candidates, and what is in viewBucket. Their order is kept, so that
// a kill loses the last of them and nothing else. That is harmless: nothing was
// promised by them; descriptors come back by repair (GOS-8), the state that refers to
// them is never stored before them, and no member signs while it lacks one (EPOCH-6).
// What is a promise (BucketSelf, whatever has a token), what others may know that we
// had (our own descriptor, so that no seq is used twice), what nobody may have but we
// (evidence, tombstones), private neighbours, and the newest state with its
// certificate, once an epoch, do not wait.
//
// While the store fails, what may be tried again waits, the latest value of each key;
// a promise that could not be stored is given up (Stored with OK false), so that the
// member abstains, and is never written afterwards. A store whose file is gone takes
// nothing: that is looked for now and then, so that its operator learns of it when
// nothing is to be written, too.
type memory struct {
	store Store
	own   record.RID

	writes  []Write
	at      map[string]int // in writes, by bucket and key
	tokens  map[int]uint64 // of writes that are promises
	urgent  bool           // there is one that must not wait
	since   time.Time      // of the oldest write
	retry   time.Time      // when to try again; zero: the store works
	failed  redact.Reason  // why it does not
	look    time.Time      // when to look again whether its file is there
	gone    bool           // it is not
	spoiled bool           // it was written over or cut
	dropped uint64
	loss    loss
	other   uint64 // see otherSeen
}

func newMemory(s Store, own record.RID) *memory {
	return &memory{store: s, own: own, at: map[string]int{}, tokens: map[int]uint64{}, failed: redact.None}
}

// mayWait reports writes whose loss is harmless.
func (m *memory) mayWait(e *directory.Store) bool {
	if e.Token != 0 {
		return false
	}
	return e.Bucket == directory.BucketCand || e.Bucket == directory.BucketDesc && len(e.Key) == 1+record.RIDSize &&
		e.Key[0] == record.ClassDescriptor && record.RID(e.Key[1:]) != m.own
}

// add takes one Store.
func (m *memory) add(now time.Time, e *directory.Store) {
	m.put(now, Write{Bucket: bucketNames[e.Bucket], Key: e.Key, Value: e.Value}, e.Token, !m.mayWait(e))
}

// put takes one write. token 0: nobody waits for it.
func (m *memory) put(now time.Time, w Write, token uint64, urgent bool) {
	name := w.Bucket + "/" + string(w.Key)
	i, waits := m.at[name]
	if waits && m.tokens[i] != 0 {
		waits = false // a promise has an answer of its own
	}
	switch {
	case waits:
		m.writes[i] = w
	case len(m.writes) >= maxUnwritten && !urgent:
		m.dropped++
		return
	default:
		if len(m.writes) == 0 {
			m.since = now
		}
		i = len(m.writes)
		m.at[name] = i
		m.writes = append(m.writes, w)
	}
	if token != 0 {
		m.tokens[i] = token
	}
	m.urgent = m.urgent || urgent
}

// settle makes durable what must not wait, before an effect that others notice. It
// returns the answers for the machine.
func (m *memory) settle(now time.Time) []directory.Stored {
	if !m.urgent || !m.retry.IsZero() && len(m.tokens) == 0 && now.Before(m.retry) {
		return nil
	}
	return m.commit(now)
}

// tick makes durable what has waited long enough.
func (m *memory) tick(now time.Time) []directory.Stored {
	m.watch(now)
	if due := m.due(); due.IsZero() || now.Before(due) {
		return nil
	}
	return m.commit(now)
}

// watch looks now and then whether the store's file is where it was opened.
func (m *memory) watch(now time.Time) {
	file, is := m.store.(interface {
		Gone() bool
		Spoiled() bool
	})
	if !is || now.Before(m.look) {
		return
	}
	m.look, m.gone, m.spoiled = now.Add(lookStore), file.Gone(), file.Spoiled()
}

// due is when tick has something to do, or zero.
func (m *memory) due() time.Time {
	switch {
	case len(m.writes) == 0:
		return time.Time{}
	case !m.retry.IsZero():
		return m.retry
	}
	return m.since.Add(batchFor)
}

// commit tries one transaction for all that waits.
func (m *memory) commit(now time.Time) []directory.Stored {
	if len(m.writes) == 0 {
		m.urgent = false
		return nil
	}
	err := m.store.Put(m.writes)
	var answers []directory.Stored
	for i := range m.writes {
		if token := m.tokens[i]; token != 0 {
			answers = append(answers, directory.Stored{Token: token, OK: err == nil})
		}
	}
	if err == nil {
		m.writes, m.since, m.urgent, m.retry, m.failed = nil, time.Time{}, false, time.Time{}, redact.None
		clear(m.at)
		clear(m.tokens)
		return answers
	}
	m.retry, m.failed, m.look = now.Add(retryStore), redact.Classify(err), time.Time{}
	m.watch(now)
	m.giveUpPromises()
	return answers
}

// giveUpPromises forgets writes whose failure was told.
func (m *memory) giveUpPromises() {
	if len(m.tokens) == 0 {
		return
	}
	kept := m.writes[:0]
	clear(m.at)
	for i, w := range m.writes {
		if m.tokens[i] == 0 {
			m.at[w.Bucket+"/"+string(w.Key)] = len(kept)
			kept = append(kept, w)
		}
	}
	clear(m.writes[len(kept):])
	m.writes = kept
	clear(m.tokens)
}

// saved returns a bucket as directory.New wants it. The first error is kept in err.
func saved(s Store, err *error) func(b directory.Bucket) iter.Seq2[[]byte, []byte] {
	return func(b directory.Bucket) iter.Seq2[[]byte, []byte] {
		return func(yield func(key, value []byte) bool) {
			e := s.Each(bucketNames[b], func(key, value []byte) error {
				// The machine may keep them.
				if !yield(slices.Clone(key), slices.Clone(value)) {
					return errEnough
				}
				return nil
			})
			if e != nil && e != errEnough && *err == nil {
				*err = e
			}
		}
	}
}

// get returns one value of a bucket, a copy; nil: there is none.
func get(s Store, bucket string, key []byte) (value []byte, err error) {
	err = s.Each(bucket, func(k, v []byte) error {
		if string(k) == string(key) {
			value = append([]byte{}, v...)
		}
		return nil
	})
	return value, err
}
