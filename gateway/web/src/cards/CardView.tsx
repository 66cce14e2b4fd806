// Chooses how a card is drawn.
import { memo } from 'react';
import { BacktestCard } from './BacktestCard';
import { CodeCard } from './CodeCard';
import type { Card } from './card';
import './cards.css';

export const CardView = memo(function CardView({ card }: { readonly card: Card }) {
  switch (card.kind) {
    case 'backtest':
      return <BacktestCard id={card.id} strategy={card.strategy} summary={card.summary} />;
    case 'code':
      return <CodeCard card={card} />;
    case 'picture':
      return (
        <figure className="card picture-card" data-testid="card-picture">
          <img src={card.source} alt={card.alt} />
          <figcaption>{card.alt}</figcaption>
        </figure>
      );
    case 'table':
      return <TableCard card={card} />;
  }
});

const isFigure = (text: string): boolean => /^[+\-−]?[$€]?[\d.,\s]+(?:\s?%)?$/.test(text) && /\d/.test(text);

/* A table's rows have no names; they never change. */
/* biome-ignore-start lint/suspicious/noArrayIndexKey: see above */
function TableCard({ card }: { readonly card: Extract<Card, { kind: 'table' }> }) {
  // A column of figures stands to the right, its head too.
  const align = card.columns.map((_, column) =>
    card.rows.length > 0 && card.rows.every((row) => isFigure(row[column] ?? '')) ? 'right' : 'left',
  );
  return (
    <figure className="card table-card" data-testid="card-table">
      <figcaption>{card.title}</figcaption>
      <div className="table-scroll">
        <table>
          <thead>
            <tr>
              {card.columns.map((column, index) => (
                <th key={index} data-align={align[index]}>
                  {column}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {card.rows.map((row, index) => (
              <tr key={index}>
                {card.columns.map((_, column) => (
                  <td key={column} data-align={align[column]}>
                    {row[column] ?? ''}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </figure>
  );
}
/* biome-ignore-end lint/suspicious/noArrayIndexKey: see above */
