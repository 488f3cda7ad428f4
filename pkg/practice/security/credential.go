package security

import (
	"math"
	"regexp"
	"slices"
	"strings"
)

// credentials recognises literal credentials. It says what a value is, and
// never what it reads: nothing of a value is ever returned.
type credentials struct {
	known  []knownCredential
	word   *regexp.Regexp // cuts names at case changes and separators
	object *regexp.Regexp // what names of Kubernetes objects look like
}

// knownCredential is a form that gives a credential away under any name.
type knownCredential struct {
	what string
	// hint is in every text of this form; looking for it first is what makes
	// reading megabytes of configuration cheap.
	hint string
	// pattern has a group where a part of it may be a stand-in, as the password
	// of a URL in an example.
	pattern *regexp.Regexp
}

func newCredentials() credentials {
	return credentials{
		known: []knownCredential{
			{"a private key", "PRIVATE KEY-----", regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`)},
			{"an AWS access key", "AKIA", regexp.MustCompile(`\bAKIA[0-9A-Z]{16}\b`)},
			{"an AWS access key", "ASIA", regexp.MustCompile(`\bASIA[0-9A-Z]{16}\b`)},
			{"a GitHub token", "gh", regexp.MustCompile(`\bgh[pousr]_[A-Za-z0-9]{36,}`)},
			{"a GitHub token", "github_pat_", regexp.MustCompile(`\bgithub_pat_[A-Za-z0-9_]{50,}`)},
			{"a GitLab token", "glpat-", regexp.MustCompile(`\bglpat-[A-Za-z0-9_-]{20,}`)},
			{"a Slack token", "xox", regexp.MustCompile(`\bxox[abprs]-[A-Za-z0-9-]{10,}`)},
			{"a Google API key", "AIza", regexp.MustCompile(`\bAIza[0-9A-Za-z_-]{35}`)},
			{"a Stripe key", "k_live_", regexp.MustCompile(`\b[sr]k_live_[A-Za-z0-9]{16,}`)},
			{"a signed token", "eyJ", regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}`)},
			{"a URL with a password", "@", regexp.MustCompile(`[a-z]://[^/\s:@"'$<{%]*:([^/\s:@"'$<{%*]+)@[^/\s]`)},
		},
		word:   regexp.MustCompile(`[A-Z]+[a-z]*|[a-z]+|[0-9]+`),
		object: regexp.MustCompile(`^[a-z][a-z0-9]*([-./][a-z0-9]+)+$`),
	}
}

// in says what credential a named value is, "" when it is none to be told.
func (c credentials) in(name, value string) string {
	if what := c.byForm(value); what != "" {
		return what
	}
	return c.byName(name, value)
}

func (c credentials) byForm(value string) string {
	for _, known := range c.known {
		if !strings.Contains(value, known.hint) {
			continue
		}
		if found := known.pattern.FindStringSubmatch(value); found != nil && !isStandInURL(known, found) {
			return known.what
		}
	}
	return ""
}

// isStandInURL reports whether the part of a form that varies is a stand-in.
func isStandInURL(known knownCredential, found []string) bool {
	return known.pattern.NumSubexp() > 0 && isStandIn(found[1])
}

// byName judges a value by the name that it goes by. A password is one whatever
// it is; a token, a secret or a key must look like one, since much else goes by
// these names: of objects, of headers, of files.
func (c credentials) byName(name, value string) string {
	what := c.named(name)
	value = strings.TrimSpace(value)
	switch {
	case what == "", isStandIn(value):
		return ""
	case what == "password" || c.looksRandom(value):
		return "a " + what
	}
	return ""
}

// named says what a name promises: its last word, or its last two.
func (c credentials) named(name string) string {
	words := c.word.FindAllString(name, -1)
	for i := range words {
		words[i] = strings.ToLower(words[i])
	}
	if len(words) == 0 {
		return ""
	}
	last, before := words[len(words)-1], ""
	if len(words) > 1 {
		before = words[len(words)-2]
	}
	switch {
	case slices.Contains([]string{"password", "passwd", "passphrase"}, last), last == "pass" && before != "", last == "pwd" && before != "" && before != "old":
		return "password"
	case slices.Contains([]string{"token", "secret", "credential", "credentials"}, last):
		return strings.TrimSuffix(last, "s")
	case slices.Contains([]string{"apikey", "secretkey", "privatekey", "accesskey"}, last),
		last == "key" && slices.Contains([]string{"api", "access", "secret", "private", "encryption", "signing", "auth", "account", "master"}, before):
		return "key"
	}
	return ""
}

// isStandIn reports whether a value only stands for one that comes from
// elsewhere, or is none.
func isStandIn(value string) bool {
	if value == "" || strings.ContainsAny(value, "${}<>`()[] \t\n") || strings.Trim(value, value[:1]) == "" {
		return true
	}
	for _, prefix := range []string{"/", "./", "~", "http://", "https://", "file:", "vault:", "env:", "secret:", "ref+", "op://", "aws-sm:", "gcp-sm:", "%", "@", "*", "&", "!"} {
		if strings.HasPrefix(value, prefix) {
			return true
		}
	}
	return slices.Contains([]string{
		"true", "false", "none", "null", "nil", "yes", "no", "on", "off", "enabled", "disabled", "string", "text", "required", "optional",
		"password", "passwd", "pass", "pwd", "secret", "token", "redacted", "placeholder", "example",
	}, strings.ToLower(value))
}

// looksRandom reports whether a value looks made by a machine and not by a
// person: at least 12 characters, digits among them, and 3 bits a character.
func (c credentials) looksRandom(value string) bool {
	digits := strings.ContainsAny(value, "0123456789")
	return len(value) >= 12 && digits && !c.object.MatchString(value) && entropy(value) >= 3
}

// entropy is the information of a text in bits a character.
func entropy(text string) float64 {
	counts := map[rune]int{}
	total := 0
	for _, r := range text {
		counts[r]++
		total++
	}
	bits := 0.0
	for _, n := range counts {
		p := float64(n) / float64(total)
		bits -= p * math.Log2(p)
	}
	return bits
}

// inText finds the first credential in a text, line by line, comments left out:
// in a form that gives it away, or by its name on a line of a configuration.
func (c credentials) inText(text string) (what, name string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "//") || strings.HasPrefix(line, ";") {
			continue
		}
		if what := c.byForm(line); what != "" {
			return what, ""
		}
		if name, value, ok := assignment(line); ok {
			if what := c.byName(name, value); what != "" {
				return what, name
			}
		}
	}
	return "", ""
}

// assignment reads name and value of a line of a configuration file or script,
// if its name is of the kind that credentials go by.
func assignment(line string) (name, value string, ok bool) {
	at := strings.IndexAny(line, ":=")
	if at <= 0 {
		return "", "", false
	}
	name = strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(line[:at], "export "), "- "))
	name = strings.Trim(name, `"'`)
	lower := strings.ToLower(name)
	if strings.ContainsAny(name, " \t(){}[]<>$") || !slices.ContainsFunc([]string{"pass", "pwd", "secret", "token", "key", "credential"}, func(root string) bool {
		return strings.Contains(lower, root)
	}) {
		return "", "", false
	}
	value = strings.TrimRight(strings.TrimSpace(line[at+1:]), ",;")
	return name, strings.Trim(strings.TrimSpace(value), `"'`), true
}
