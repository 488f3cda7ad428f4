package keep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"gocloud.dev/gcerrors"
	"gocloud.dev/gcp"
	"google.golang.org/api/googleapi"
)

// told is a provider's error in one line: what was being done, where, and what
// decides it.
type told struct {
	text string
	// cause is for [errors.Is] and for [transient]; its own text is not shown.
	cause error
}

func (t *told) Error() string { return t.text }
func (t *told) Unwrap() error { return t.cause }

// tell says an error of the provider's library in one line.
func (b bucket) tell(doing, name string, err error) error {
	var known *told
	if err == nil || errors.As(err, &known) {
		return err
	}
	where := strings.TrimSuffix(b.redacted+"/"+name, "/")
	said := words(err)
	cause := err
	switch {
	case gcerrors.Code(err) == gcerrors.NotFound && doing == "reading":
		said, cause = fs.ErrNotExist.Error(), errors.Join(fs.ErrNotExist, err)
	case gcerrors.Code(err) == gcerrors.NotFound:
		said = "there is no such bucket (" + said + ")"
	case strings.Contains(err.Error(), "get credentials: "):
		said = "no credentials were found (" + whence(b.redacted) + ")"
	case unreachable(err):
		said = "the store is not reached: " + said
	case credentials(err):
		said = "the store does not accept the credentials: " + said + " (" + whence(b.redacted) + ")"
	}
	return &told{text: fmt.Sprintf("%s %s: %s", doing, where, said), cause: cause}
}

// words is the provider's own message, without what its library wraps around it.
func words(err error) string {
	var amazon interface { // smithy.APIError
		ErrorCode() string
		ErrorMessage() string
	}
	var azure *azcore.ResponseError
	var google *googleapi.Error
	var network *net.OpError
	text := err.Error()
	switch {
	case errors.As(err, &amazon):
		text = amazon.ErrorCode() + ": " + amazon.ErrorMessage()
	case errors.As(err, &azure):
		text = fmt.Sprintf("%s, status %d", azure.ErrorCode, azure.StatusCode)
	case errors.As(err, &google):
		text = fmt.Sprintf("status %d %s", google.Code, google.Message)
	case errors.As(err, &network):
		text = network.Error()
	case errors.Is(err, errNoAnswer):
		text = errNoAnswer.Error()
	}
	text = strings.Join(strings.Fields(text), " ")
	return strings.TrimSuffix(text[:min(len(text), 400)], ": ")
}

// unreachable reports whether no answer came at all.
func unreachable(err error) bool {
	var network *net.OpError
	var name *net.DNSError
	return errors.As(err, &network) || errors.As(err, &name) || errors.Is(err, errNoAnswer)
}

// credentials reports whether who asks is what is wrong.
func credentials(err error) bool {
	var answer interface{ HTTPStatusCode() int } // of Amazon's library
	if gcerrors.Code(err) == gcerrors.PermissionDenied || errors.As(err, &answer) && (answer.HTTPStatusCode() == 401 || answer.HTTPStatusCode() == 403) {
		return true
	}
	text := err.Error()
	for _, sign := range []string{
		"InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "ExpiredToken", "InvalidToken", "get credentials", // Amazon's
		"AuthenticationFailed", "AuthorizationFailure", "DefaultAzureCredential", "InvalidAuthenticationInfo", // Azure's
		"could not find default credentials", "private key should be a PEM", "Error 401", // Google's
	} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// changed reports whether the provider's library found that what it read is not
// what was written: Google's and Amazon's compare checksums of their own.
func changed(err error) bool {
	return strings.Contains(err.Error(), "bad CRC on read") || strings.Contains(err.Error(), "checksum did not match")
}

// whence is where a provider's library looks for credentials.
func whence(destination string) string {
	switch scheme, _, _ := strings.Cut(destination, "://"); scheme {
	case "s3":
		return "AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, AWS_PROFILE or the machine's role decide"
	case "gs":
		return "GOOGLE_APPLICATION_CREDENTIALS or gcloud auth application-default login decide"
	default:
		return "AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or az login decide"
	}
}

// googleCredentials is an error where there are none: the library below would
// only warn, on standard output, and go on without.
func googleCredentials(ctx context.Context, destination string) error {
	if os.Getenv("STORAGE_EMULATOR_HOST") != "" || os.Getenv("STORAGE_EMULATOR_HOST_GRPC") != "" || strings.Contains(destination, "anonymous=true") {
		return nil
	}
	if _, err := gcp.DefaultCredentials(ctx); err != nil {
		return fmt.Errorf("opening %s: no credentials were found: %s", Redact(destination), whence(destination))
	}
	return nil
}

// answerTimeout is how long a store may take to answer a question: Google's
// library would repeat it for ever.
const answerTimeout = 20 * time.Second

var errNoAnswer = fmt.Errorf("no answer within %s", answerTimeout)

// answering is a context that ends when no answer came in time; answered stops
// the clock and leaves the context as it is, for what is read through it. The
// error of an interrupt is the interrupt's own.
func answering(ctx context.Context) (asking context.Context, answered func(error) error) {
	asking, cancel := context.WithCancelCause(ctx)
	clock := time.AfterFunc(answerTimeout, func() { cancel(errNoAnswer) })
	return asking, func(err error) error {
		if clock.Stop() || err == nil {
			return err
		}
		return errors.Join(context.Cause(asking), err)
	}
}

// attempts is how often what a store broke is begun anew, on top of what the
// provider's library repeats by itself; pause doubles from one to the next.
const (
	attempts   = 5
	firstPause = 2 * time.Second
)

// steadily repeats what fails because the store is away: one that restarts is
// back within half a minute.
func steadily(ctx context.Context, do func() error) error {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := do()
		if ctx.Err() != nil {
			return cmp.Or(ctx.Err(), err)
		}
		if err == nil || attempt == attempts || !transient(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause *= 2
	}
}

// transient reports whether trying again may help: the store's doing, and neither
// who asks nor what for.
func transient(err error) bool {
	var stores *told
	return errors.As(err, &stores) && !credentials(stores.cause) && !errors.Is(err, fs.ErrNotExist) &&
		gcerrors.Code(stores.cause) != gcerrors.NotFound && gcerrors.Code(stores.cause) != gcerrors.InvalidArgument
}
