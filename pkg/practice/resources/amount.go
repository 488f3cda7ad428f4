package resources

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// amount is a quantity of a resource as a person says it.
func amount(name corev1.ResourceName, quantity float64) string {
	const mib, gib = 1 << 20, 1 << 30
	switch {
	case name == corev1.ResourceCPU:
		return fmt.Sprintf("%.2f cores", quantity)
	case quantity < gib:
		return fmt.Sprintf("%.0f MiB", quantity/mib)
	default:
		return fmt.Sprintf("%.1f GiB", quantity/gib)
	}
}

// number is a quantity as a number: cores, or bytes.
func number(q resource.Quantity) float64 { return q.AsApproximateFloat64() }

// span is a duration in the unit that a person would use.
func span(d time.Duration) string {
	switch {
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days", int(d.Hours())/24)
	}
}

// plural counts things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
