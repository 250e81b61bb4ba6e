// SPDX-License-Identifier: BSD-3-Clause

package layering

import "testing"

func TestBannedLogCallsAreFound(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		wants []string
	}{
		{"values as they come", map[string]string{"relay/a.go": `package relay; import "github.com/rs/zerolog"
			func f(log zerolog.Logger, err error) {
				log.Info().Err(err).Msg("a")
				log.Info().Interface("k", 1).Any("k", 1).Stringer("k", nil).Msg("a")
				log.Info().IPAddr("k", nil).IPPrefix("k", p).Hex("k", nil).Bytes("k", nil).Msg("a")
				log.Info().Msgf("%d", 1)
			}`}, []string{"Err ", "Interface", "Any", "Stringer", "IPAddr", "IPPrefix", "Hex", "Bytes", "Msgf"}},
		{"through a field declared in another file", map[string]string{
			"relay/a.go": `package relay; import "github.com/rs/zerolog"; type r struct{ log zerolog.Logger }`,
			"relay/b.go": `package relay; func (r *r) f(err error) { r.log.Warn().Err(err).Msg("a") }`,
		}, []string{"relay/b.go:3: Err"}},
		{"computed message", map[string]string{"relay/a.go": `package relay; import "github.com/rs/zerolog"
			func f(log zerolog.Logger, n string) { log.Info().Msg("to " + name()); log.Info().Msg(x.Name) }`},
			[]string{"Msg with a computed text", "Msg with a computed text"}},
		{"global loggers", map[string]string{"relay/a.go": `package relay; import ("log/slog"; "github.com/rs/zerolog/log")`},
			[]string{"log/slog", "zerolog/log"}},
		{"standard log", map[string]string{
			"relay/a.go":        `package relay; import "log"; func f() { log.Println("x") }`,
			"relay/a_test.go":   `package relay; import "log"; func g() { log.Fatal("x") }`,
			"link/a.go":         `package link; import ("log"; "os"); var l = log.New(os.Stderr, "", 0)`,
			"internal/web/a.go": `package web; import . "log"`,
		}, []string{"relay/a.go", "relay/a_test.go", "link/a.go", "internal/web/a.go"}},
		{"a server that logs by itself", map[string]string{
			"internal/web/a.go":      `package web; import "net/http"; var s = &http.Server{Handler: nil}`,
			"internal/web/b.go":      `package web; import "net/http"; var t = &http.Server{ErrorLog: silent}`,
			"internal/web/a_test.go": `package web; import "net/http"; var u = &http.Server{}`,
		}, []string{"internal/web/a.go:3: http.Server without ErrorLog"}},
		{"allowed", map[string]string{
			"internal/redact/a.go": `package redact; import "github.com/rs/zerolog"
				func f(e *zerolog.Event, err error) { e.Err(err).Hex("k", nil) }`,
			"relay/a.go": `package relay; import ("encoding/hex"; "github.com/rs/zerolog")
				const text = "c"
				func f(log zerolog.Logger, ctx interface{ Err() error }, b interface{ Bytes() []byte }) {
					_ = ctx.Err(); b.Bytes(); hex.Bytes(1, 2)
					log.Info().Msg("a" + "b"); log.Info().Msg(text)
				}`,
			"circuit/a.go": `package circuit; func f(s set) { s.Any(1, 2); s.Err(nil) }`,
			"link/a.go":    `package link; import ("io"; "log"); var l *log.Logger = log.New(io.Discard, "", 0)`,
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) { expect(t, checkLogging(sources(t, test.files)), test.wants...) })
	}
}
