// SPDX-License-Identifier: BSD-3-Clause

package reconcile

import "errors"

// Outcomes of a session that are no Result. What the peer did decides between them,
// and what to make of it is the caller's.
var (
	// ErrOrder means a message that the state does not await: of another type, of
	// another block, seen before, or of the other role. Honest peers do not send it.
	ErrOrder = errors.New("reconcile: message out of order")
	// ErrLimit means a message beyond what this session takes from the peer: a set
	// larger than allowed, more ids than it announced, a frame that is not full.
	// Honest peers of this configuration do not send it.
	ErrLimit = errors.New("reconcile: beyond a limit")
	// ErrPoisoned means that what the peer sent contradicts itself or our set: no
	// set has such symbols, sums or lists. The repair failed through the peer.
	ErrPoisoned = errors.New("reconcile: contradictory symbols or lists")
	// ErrUndecided means that symbols did not suffice and one side does not fall
	// back now. It does not tell many differences from symbols that are garbage.
	ErrUndecided = errors.New("reconcile: too many differences")
	// ErrRefused means that the peer does not begin, or has given the session up.
	ErrRefused = errors.New("reconcile: peer refused")
	// ErrEnded means a Step after the session's end.
	ErrEnded = errors.New("reconcile: session has ended")
)

// Config is what a session is made for. It is not changed.
type Config struct {
	// HandshakeHash is the link's. Both sides must have the same.
	HandshakeHash [32]byte
	// ShortKey is the key of the link's short ids, as in announcements.
	ShortKey [KeySize]byte
	// Set is our set during the session; nil: empty.
	Set *Set
	// Fallback allows the fallback this time.
	Fallback bool
	// MaxPeerCount bounds the set that the peer announces; 0: MaxItemCount.
	MaxPeerCount int
}

// Result is what both sides know at the end. Its slices are the caller's.
type Result struct {
	// OnlyOurs are the digests that the peer lacks.
	OnlyOurs []Digest
	// OnlyTheirs are the items that we lack, rising; after a fallback nil.
	OnlyTheirs []Item
	// OnlyTheirsIDs are, after a fallback, the short ids of the digests that we lack.
	OnlyTheirsIDs []ShortID
	// SymbolCount is the number of symbols that the session took.
	SymbolCount int
	// Fallback says that symbols did not suffice.
	Fallback bool
	// Suspicious says, on the opener's side, that symbols did not suffice for
	// differences so few that honest symbols nearly always do. The result is right
	// all the same; a peer with whom it happens twice in a row sends garbage.
	Suspicious bool
}

// A state takes one message.
type state func(s *Session, m Message) ([]Message, *Result, error)

// Session is one side of a repair. It belongs to one goroutine.
type Session struct {
	cfg       Config
	set       *Set
	short     sipKey
	nonce     [NonceSize]byte
	state     state // nil: ended
	keys      keys
	peerCount int
	limit     uint32 // symbols
	coder     *coder
	decoder   *decoder
	fallback  *fallback
}

func newSession(cfg Config, nonce [NonceSize]byte) *Session {
	s := &Session{cfg: cfg, set: cfg.Set, short: newSipKey(cfg.ShortKey[:]), nonce: nonce}
	if s.set == nil {
		s.set = new(Set)
	}
	if cfg.MaxPeerCount <= 0 || cfg.MaxPeerCount > MaxItemCount {
		s.cfg.MaxPeerCount = MaxItemCount
	}
	return s
}

// NewOpener begins a session. The message goes to the peer. The nonce is 16 random
// bytes of this session alone.
func NewOpener(cfg Config, nonce [NonceSize]byte) (*Session, Message) {
	s := newSession(cfg, nonce)
	s.state = (*Session).awaitAnswer
	return s, &Open{Nonce: nonce, Count: uint32(s.set.Len())}
}

// NewResponder waits for the Open of a peer, which is its first Step. The nonce is
// as NewOpener's.
func NewResponder(cfg Config, nonce [NonceSize]byte) *Session {
	s := newSession(cfg, nonce)
	s.state = (*Session).awaitOpen
	return s
}

// Refuse answers an Open for which there is to be no session now.
func Refuse() Message { return &Done{Code: DoneRefused} }

// Ended reports whether the session takes no more messages.
func (s *Session) Ended() bool { return s.state == nil }

// Step takes the peer's next message. Messages that it returns are to be sent, in
// order, with an error too. A Result or an error ends the session. A peer that does
// not answer is the caller's to notice.
// Errors: ErrOrder, ErrLimit, ErrPoisoned, ErrUndecided, ErrRefused, ErrEnded.
// Spec: directory §4 (repair), protocol (REPAIR-1..6).
func (s *Session) Step(m Message) ([]Message, *Result, error) {
	if s.state == nil {
		return nil, nil, ErrEnded
	}
	if d, ok := m.(*Done); ok && (d.Code == DoneAbandoned || d.Code == DoneRefused) {
		s.end()
		return nil, nil, ErrRefused
	}
	out, result, err := s.state(s, m)
	if err == nil && result == nil {
		return out, nil, nil
	}
	s.end()
	if errors.Is(err, ErrPoisoned) { // the link stays, so the peer is told
		out = []Message{&Done{Code: DoneAbandoned}}
	}
	return out, result, err
}

// end lets go of everything.
func (s *Session) end() {
	s.state, s.coder, s.decoder, s.fallback, s.keys = nil, nil, nil, nil, keys{}
}

// agree takes the peer's nonce and count and fixes what follows from them.
func (s *Session) agree(m *Open, opener, responder [NonceSize]byte) error {
	if int(m.Count) > s.cfg.MaxPeerCount {
		return ErrLimit
	}
	s.peerCount = int(m.Count)
	s.keys = deriveKeys(s.cfg.HandshakeHash, opener, responder)
	s.limit = symbolLimit(s.set.Len(), s.peerCount)
	s.coder = &coder{set: s.set, keys: &s.keys, limit: s.limit}
	return nil
}

// maxSymbolDifference is the difference of counts beyond which no symbols are sent:
// at 1.35 symbols a difference the most there can be would not suffice.
const maxSymbolDifference = MaxSymbolCount * 3 / 4

// symbolLimit returns how many symbols a session takes at most:
// 4 x (|difference of counts| + 64), at most 2,048, or none.
// Spec: directory §4 (repair), protocol (REPAIR-3).
func symbolLimit(a, b int) uint32 {
	apart := max(a-b, b-a)
	if apart > maxSymbolDifference {
		return 0
	}
	return uint32(min(4*(apart+64), MaxSymbolCount))
}

// blockSize returns the number of symbols in the block that begins at from.
// Spec: protocol (REPAIR-3).
func blockSize(from, limit uint32) uint32 {
	size := uint32(BlockCount)
	if from == 0 {
		size = FirstBlockCount
	}
	return min(size, limit-from)
}

// shortID returns the link's short id of a digest.
// Spec: directory §4 (INV).
func shortID(k sipKey, d *Digest) ShortID { return ShortID(k.hash(d[:])) }

// ShortIDOf returns the short id of a digest under a link's key: SipHash-2-4.
func ShortIDOf(key [KeySize]byte, d Digest) ShortID {
	return shortID(newSipKey(key[:]), &d)
}
