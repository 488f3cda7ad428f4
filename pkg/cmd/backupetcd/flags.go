package backupetcd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/keep"
)

// secretFlags say what encrypts and decrypts. No secret is ever a flag's value:
// the machine's other users can read those.
type secretFlags struct {
	EncryptTo      []string
	RecipientsFile string
	Identities     []string
	PassphraseFile string
	Passphrase     bool
}

func (s *secretFlags) addEncrypt(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&s.EncryptTo, "encrypt-to", nil, "Encrypt with age to these recipients: age1… or SSH public keys")
	cmd.Flags().StringVar(&s.RecipientsFile, "recipients-file", "", "Encrypt with age to the recipients in this file")
	s.addPassphrase(cmd, "Encrypt")
}

func (s *secretFlags) addDecrypt(cmd *cobra.Command) {
	cmd.Flags().StringSliceVarP(&s.Identities, "identity", "i", nil, "Decrypt with the age identities, or the SSH key, in this file")
	s.addPassphrase(cmd, "Decrypt")
}

func (s *secretFlags) addPassphrase(cmd *cobra.Command, verb string) {
	cmd.Flags().StringVar(&s.PassphraseFile, "passphrase-file", "", verb+" with the passphrase in the first line of this file; - is standard input")
	cmd.Flags().BoolVar(&s.Passphrase, "passphrase", false, verb+" with a passphrase that is asked for on the terminal")
}

// recipients are who may decrypt; none where nothing is to be encrypted.
func (s *secretFlags) recipients(streams genericiooptions.IOStreams) ([]age.Recipient, error) {
	keys := s.EncryptTo
	if s.RecipientsFile != "" {
		content, err := os.ReadFile(s.RecipientsFile)
		if err != nil {
			return nil, fmt.Errorf("--recipients-file: %w", err)
		}
		for line := range strings.Lines(string(content)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				keys = append(keys, line)
			}
		}
		if len(keys) == 0 {
			return nil, fmt.Errorf("--recipients-file %s names no recipient", s.RecipientsFile)
		}
	}
	recipients, err := keep.ParseRecipients(keys)
	if err != nil {
		return nil, err
	}
	secret, err := s.passphrase(streams, true)
	if err != nil || secret == "" {
		return recipients, err
	}
	if len(recipients) > 0 {
		return nil, errors.New("a passphrase and recipients exclude each other: age mixes them not")
	}
	recipient, _, err := keep.Passphrase(secret)
	return []age.Recipient{recipient}, err
}

// identities are what decrypts.
func (s *secretFlags) identities(streams genericiooptions.IOStreams) ([]age.Identity, error) {
	identities, err := keep.ReadIdentities(s.Identities)
	if err != nil {
		return nil, err
	}
	secret, err := s.passphrase(streams, false)
	if err != nil || secret == "" {
		return identities, err
	}
	_, identity, err := keep.Passphrase(secret)
	return append(identities, identity), err
}

func (s *secretFlags) passphrase(streams genericiooptions.IOStreams, twice bool) (string, error) {
	switch {
	case s.PassphraseFile != "" && s.Passphrase:
		return "", errors.New("--passphrase and --passphrase-file exclude each other")
	case s.PassphraseFile != "":
		return readPassphrase(s.PassphraseFile, streams.In)
	case s.Passphrase:
		return askPassphrase(streams, twice)
	default:
		return "", nil
	}
}

func readPassphrase(path string, stdin io.Reader) (string, error) {
	source := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("--passphrase-file: %w", err)
		}
		defer func() { _ = file.Close() }() // it was only read
		source = file
	}
	content, err := io.ReadAll(io.LimitReader(source, 64<<10))
	if err != nil {
		return "", fmt.Errorf("--passphrase-file: %w", err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", errors.New("--passphrase-file holds no passphrase in its first line")
	}
	return line, nil
}

func askPassphrase(streams genericiooptions.IOStreams, twice bool) (string, error) {
	file, ok := streams.In.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return "", errors.New("--passphrase asks on a terminal, and there is none (--passphrase-file reads one)")
	}
	ask := func(prompt string) (string, error) {
		fmt.Fprint(streams.ErrOut, prompt)
		secret, err := term.ReadPassword(int(file.Fd()))
		fmt.Fprintln(streams.ErrOut)
		return string(secret), err
	}
	secret, err := ask("Passphrase: ")
	if err != nil {
		return "", err
	}
	if secret == "" {
		return "", errors.New("the passphrase is empty")
	}
	if twice {
		again, err := ask("Once more: ")
		if err != nil {
			return "", err
		}
		if again != secret {
			return "", errors.New("the two passphrases differ")
		}
	}
	return secret, nil
}

// ruleFlags say what is kept.
type ruleFlags struct {
	Keep       int
	KeepWithin days
}

func (r *ruleFlags) add(cmd *cobra.Command) {
	cmd.Flags().Var((*count)(&r.Keep), "keep", "Keep the newest so many proven backups of this cluster, and remove older ones")
	cmd.Flags().Var(&r.KeepWithin, "keep-within", "Keep backups that are younger, 30d or 12h; with --keep, what either keeps is kept")
}

func (r *ruleFlags) rule() keep.Rule {
	return keep.Rule{Last: r.Keep, Within: time.Duration(r.KeepWithin)}
}

// count is a number above zero.
type count int

func (c *count) String() string { return strconv.Itoa(int(*c)) }
func (c *count) Type() string   { return "N" }

func (c *count) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return errors.New("it takes a number above zero")
	}
	*c = count(n)
	return nil
}

// days is a duration that knows days.
type days time.Duration

func (d *days) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}
func (d *days) Type() string { return "duration" }

func (d *days) Set(text string) error {
	if whole, is := strings.CutSuffix(text, "d"); is {
		n, err := strconv.Atoi(whole)
		if err != nil || n < 1 || n > 36500 {
			return errors.New("it takes 30d or 12h")
		}
		*d = days(time.Duration(n) * 24 * time.Hour)
		return nil
	}
	duration, err := time.ParseDuration(text)
	if err != nil || duration <= 0 {
		return errors.New("it takes 30d or 12h")
	}
	*d = days(duration)
	return nil
}
