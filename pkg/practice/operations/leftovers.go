package operations

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// forgotten is how old something that was finished or emptied must be to count
// as forgotten: long enough for a weekend and the look at what happened.
const forgotten = 7 * 24 * time.Hour

// old says how old an object is, where that is worth saying.
func old(now time.Time, created metav1.Time) string {
	days := int(now.Sub(created.Time).Hours() / 24)
	if created.IsZero() || days < 2 {
		return ""
	}
	return fmt.Sprintf("; it is %d days old", days)
}

// young reports whether an object was only just made: what uses it may follow.
func young(now time.Time, created metav1.Time) bool { return now.Sub(created.Time) < settled }
