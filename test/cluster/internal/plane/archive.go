package plane

import (
	"context"
	"errors"
)

func (c *cluster) restore(ctx context.Context, archive string) error { return errors.New("todo") }
