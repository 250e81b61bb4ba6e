// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var renew = flag.Bool("renew", false, "write docs/api.md anew")

const docsPath = "../../docs/api.md"

const docsHead = `# The local API

Made from the source by ` + "`go test ./internal/control -run TestDocs -renew`" + `; a test holds it to the program.

A running daemon answers HTTP with JSON on its control socket, a unix socket that its user alone can open. Its ready line names it;
` + "`--control unix:PATH`" + ` chooses it. The commands of chive use nothing else. The host name is ` + "`localhost`" + `:

` + "```" + `
curl --unix-socket "$XDG_RUNTIME_DIR/chive/control.sock" http://localhost/v1/status
curl --unix-socket "$XDG_RUNTIME_DIR/chive/control.sock" -X POST http://localhost/v1/newnym
curl --unix-socket "$XDG_RUNTIME_DIR/chive/control.sock" -N http://localhost/v1/events
` + "```" + `

- Every answer but an event stream and a profile is one JSON object on one line. Its ` + "`schema`" + ` names its form. Within a schema number fields are added, never changed
  or taken away, so ignore fields that you do not know.
- Times are RFC 3339 in UTC. Units stand in the names: ` + "`_seconds`, `_bytes`, `_bytes_per_second`" + `; ` + "`_total`" + ` counts since the start.
- A field marked *optional* is left out when it is empty, zero or not known. Lists are there even when they are empty.
- What changes something is asked with POST, without a body unless the table names one: an object of 64 KiB at most, sent as
  ` + "`application/json`" + `. GET changes nothing.
- A failure has an HTTP status of 400 or more, and the form ` + "`chive.error/1`" + `: ` + "`code`" + ` for programs, ` + "`text`" + ` and ` + "`fix`" + ` for people. A path
  whose part is not in this process answers 404 with ` + "`not_here`" + `.
- Requests that come from a browser, or for another host than ` + "`localhost`" + ` and ` + "`chive`" + `, are refused. The local page has a listener of
  its own, on loopback; the paths marked *page* are there too, behind its session (` + "`POST /v1/session`" + `, see below).
- 32 connections are served at once; more wait. A request has 5 s to arrive, its header 16 KiB.
- What the API tells of streams names destinations. It is kept in memory, for the user whose streams they are, and forgotten with
  a new identity. Of a relay there are totals only, never circuits or peers.

`

const docsEvents = `## Events

` + "`GET /v1/events`" + ` answers ` + "`text/event-stream`" + `: for each event a line ` + "`event: KIND`" + `, a line ` + "`data: OBJECT`" + ` and an empty line; lines that begin with a
colon are there to keep the connection. An event says that something changed, not how: read the state that it is about. 16
programs may follow at once. 256 events wait for each; one that lags loses those that come then, and gets a ` + "`gap`" + ` in their place:
read everything anew.

A relay, alone or beside a client, says ` + "`relay`" + ` within a second, with its ` + "`id`" + ` and a ` + "`state`" + `: ` + "`listed`" + ` or ` + "`unlisted`" + ` (on the list
of relays), ` + "`running`" + ` or ` + "`not_running`" + ` (as the list marks it), ` + "`address`" + ` (where others reach it has changed), ` + "`reachable`" + ` or
` + "`unreachable`" + ` (by the newest test of its addresses), ` + "`quota`" + ` (used up: it rests) or ` + "`works`" + ` (again), ` + "`draining`" + `. That it was on the
list before a start or a rest, and still is, is no change. A client says ` + "`bootstrap`" + `, ` + "`circuit`" + `, ` + "`stream`" + ` and ` + "`warning`" + `.

`

const docsPage = `## The page's session

On the page's own address, which is loopback only:

| | |
|---|---|
| ` + "`POST /v1/session`" + ` | takes ` + "`{\"token\": TEXT}`" + `, the token of an address that ` + "`chive status --web`" + ` or ` + "`POST /v1/web`" + ` gave, good once and for 60 s; answers ` + "`chive.session/1`" + `: ` + "`secret`" + `, to be sent as ` + "`Authorization: Bearer SECRET`" + ` with every request, and ` + "`idle_seconds`" + `, after which a session that asks nothing ends |
| ` + "`DELETE /v1/session`" + ` | ends the session |

Another Host than the page's own address, another Origin, or a missing or wrong secret gets nothing. There are 32 sessions at most;
more are refused until one ends.

`

// TestDocsAreMadeFromTheTable: docs/api.md has every path and every field, and nothing
// else (API-1).
func TestDocsAreMadeFromTheTable(t *testing.T) {
	want := docs(t)
	if *renew {
		if err := os.WriteFile(docsPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docsPath)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/api.md is not what the source says: go test ./internal/control -run TestDocs -renew")
	}
}

func docs(t *testing.T) string {
	about := comments(t)
	var b strings.Builder
	b.WriteString(docsHead)
	b.WriteString("## Paths\n\n| path | answer | page | what |\n|---|---|---|---|\n")
	var forms []reflect.Type
	for _, r := range routes() {
		page := "page"
		if r.local {
			page = ""
		}
		what := r.what
		if r.takes != nil {
			what += " Takes " + link(reflect.TypeOf(r.takes)) + "."
			forms = append(forms, reflect.TypeOf(r.takes))
		}
		if r.needs != "" {
			what += " Needs " + r.needs + "."
		}
		gives := "bytes"
		if r.gives != nil {
			forms = append(forms, reflect.TypeOf(r.gives))
			gives = link(reflect.TypeOf(r.gives))
		}
		fmt.Fprintf(&b, "| `%s %s` | %s | %s | %s |\n", r.method, r.path, gives, page, what)
	}
	b.WriteString("\n")
	b.WriteString(docsEvents)
	b.WriteString(docsPage)
	b.WriteString("## Forms\n")
	forms = append(forms, reflect.TypeOf(Failure{}))
	seen := map[reflect.Type]bool{}
	for len(forms) > 0 {
		f := forms[0]
		forms = forms[1:]
		if seen[f] {
			continue
		}
		seen[f] = true
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| field | type | |\n|---|---|---|\n", f.Name(), about.text(t, f.Name()))
		rows(t, &b, about, f, &forms)
	}
	return b.String()
}

// rows writes a form's fields, those of embedded forms among them.
func rows(t *testing.T, b *strings.Builder, about said, f reflect.Type, forms *[]reflect.Type) {
	for i := range f.NumField() {
		field := f.Field(i)
		if field.Anonymous {
			rows(t, b, about, field.Type, forms)
			continue
		}
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if name == "" {
			t.Fatalf("%s.%s has no name in JSON", f.Name(), field.Name)
		}
		text := about[f.Name()+"."+field.Name]
		if name == "schema" {
			text = "`" + schemaOf(t, f) + "`"
		}
		if strings.Contains(options, "omit") {
			text = strings.TrimSpace("*optional* " + text)
		}
		kind := typeText(t, field.Type, forms)
		if strings.HasSuffix(name, "_seconds") && kind != "number" {
			t.Errorf("%s.%s is %s", f.Name(), field.Name, kind)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, kind, strings.ReplaceAll(text, "|", "\\|"))
	}
}

func schemaOf(t *testing.T, f reflect.Type) string {
	s, ok := map[string]string{
		"Status": StatusSchema, "Bootstrap": BootstrapSchema, "Circuits": CircuitsSchema, "Streams": StreamsSchema,
		"Explained": ExplainSchema, "RelayStatus": RelaySchema, "Config": ConfigSchema, "Relays": RelaysSchema, "Anchor": AnchorSchema, "Event": EventSchema,
		"NewIdentityDone": NewIdentitySchema, "Closed": ClosedSchema, "ReloadDone": ReloadSchema, "DrainBegun": DrainSchema,
		"Web": WebSchema, "Health": HealthSchema, "Failure": FailureSchema, "Testnet": TestnetSchema,
	}[f.Name()]
	if !ok {
		t.Fatalf("no schema of %s", f.Name())
	}
	return s
}

// typeText names a field's type, and adds the form that it is of to forms.
func typeText(t *testing.T, f reflect.Type, forms *[]reflect.Type) string {
	switch {
	case f == reflect.TypeFor[time.Time]():
		return "time"
	case f == reflect.TypeFor[[]byte](): // base64, as encoding/json has it
		return "text"
	case f.Kind() == reflect.Pointer:
		return typeText(t, f.Elem(), forms)
	case f.Kind() == reflect.Slice:
		return "list of " + typeText(t, f.Elem(), forms)
	case f.Kind() == reflect.Struct:
		*forms = append(*forms, f)
		return link(f)
	case f.Kind() == reflect.String:
		return "text"
	case f.Kind() == reflect.Bool:
		return "true or false"
	case f.Kind() == reflect.Int, f.Kind() == reflect.Uint64, f.Kind() == reflect.Float64:
		return "number"
	}
	t.Fatalf("no word for %v", f)
	return ""
}

func link(f reflect.Type) string {
	return "[" + f.Name() + "](#" + strings.ToLower(f.Name()) + ")"
}

// said is what the source says of types (by name) and fields (as Type.Field).
type said map[string]string

func (s said) text(t *testing.T, name string) string {
	if s[name] == "" {
		t.Fatalf("%s has no comment", name)
	}
	text := strings.TrimPrefix(s[name], name+" ")
	text = strings.TrimPrefix(strings.TrimPrefix(text, "is "), "are ")
	return strings.ToUpper(text[:1]) + text[1:]
}

func comments(t *testing.T) said {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	out := said{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			d, ok := n.(*ast.GenDecl)
			if !ok || d.Tok != token.TYPE {
				return true
			}
			for _, spec := range d.Specs {
				of := spec.(*ast.TypeSpec)
				out[of.Name.Name] = oneLine(d.Doc.Text())
				form, ok := of.Type.(*ast.StructType)
				if !ok {
					continue
				}
				for _, field := range form.Fields.List {
					for _, n := range field.Names {
						text := oneLine(field.Doc.Text() + " " + field.Comment.Text())
						text = strings.TrimPrefix(strings.TrimPrefix(text, n.Name+" is "), n.Name+" are ")
						out[of.Name.Name+"."+n.Name] = strings.ReplaceAll(text, "nil:", "left out:")
					}
				}
			}
			return true
		})
	}
	return out
}

// oneLine is a comment without its references to the design.
func oneLine(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "Spec: ")
		kept = append(kept, line)
	}
	return strings.Join(strings.Fields(strings.Join(kept, " ")), " ")
}
