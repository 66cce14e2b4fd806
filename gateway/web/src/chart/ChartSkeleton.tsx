// Pale candles where the chart will be, while the first page is on its way.

const BARS = [38, 46, 41, 55, 61, 52, 58, 70, 64, 74, 69, 60, 54, 63, 71, 80, 73, 66, 58, 49, 57, 65, 60, 68];

export function ChartSkeleton() {
  return (
    <div className="chart-skeleton" aria-hidden="true" data-testid="chart-skeleton">
      {BARS.map((height, index) => (
        <span
          // biome-ignore lint/suspicious/noArrayIndexKey: a fixed drawing
          key={index}
          style={{ height: `${18 + ((height * 7) % 23)}%`, marginBottom: `${height / 2}%` }}
        />
      ))}
    </div>
  );
}
