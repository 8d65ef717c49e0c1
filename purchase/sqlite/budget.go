package sqlite

import (
	"context"
	"errors"

	"gigagate.internal/purchase"
)

// BudgetTotals implements [purchase.Journal].
func (j *Journal) BudgetTotals(context.Context, string) ([]purchase.BudgetTotal, error) {
	return nil, errors.ErrUnsupported
}
