//! A loss curve in characters.

/// Columns and rows of the plot.
const WIDTH: usize = 64;
const HEIGHT: usize = 12;

/// Plots losses by step: `·` training (mean of each column), `●` held out.
pub(super) fn curve(losses: &[(u64, f64)], held_out: &[(u64, f64)]) -> String {
    let last = losses.iter().map(|(step, _)| *step).max().unwrap_or(1).max(1);
    let column = |step: u64| ((step.saturating_sub(1) as usize * WIDTH) / last as usize).min(WIDTH - 1);
    let mut sums = [(0.0, 0_u32); WIDTH];
    for &(step, loss) in losses {
        let (sum, count) = sums[column(step)];
        sums[column(step)] = (sum + loss, count + 1);
    }
    let means: Vec<Option<f64>> = sums.iter().map(|&(sum, n)| (n > 0).then(|| sum / f64::from(n))).collect();
    let all = || means.iter().flatten().copied().chain(held_out.iter().map(|(_, loss)| *loss));
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let span = (high - low).max(1e-9);
    let row = |loss: f64| (((high - loss) / span) * (HEIGHT - 1) as f64).round() as usize;
    let mut cells = vec![[' '; WIDTH]; HEIGHT];
    for (x, mean) in means.iter().enumerate() {
        if let Some(mean) = mean {
            cells[row(*mean)][x] = '·';
        }
    }
    for &(step, loss) in held_out {
        cells[row(loss)][column(step)] = '●';
    }
    let mut lines = vec!["loss   · training   ● held out".to_owned()];
    for (y, line) in cells.iter().enumerate() {
        let label = high - span * y as f64 / (HEIGHT - 1) as f64;
        lines.push(format!("{label:6.2} ┤{}", line.iter().collect::<String>().trim_end()));
    }
    lines.push(format!("       └{}", "─".repeat(WIDTH)));
    lines.push(format!("        step 1{last:>width$}", width = WIDTH - 6));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_falling_loss_falls() {
        let losses: Vec<(u64, f64)> = (1..=100).map(|s| (s, 8.0 - s as f64 / 20.0)).collect();
        let plot = super::curve(&losses, &[(100, 3.0)]);
        let lines: Vec<&str> = plot.lines().collect();
        assert!(lines[1].starts_with("  7.9") && lines[1].contains('·'), "{plot}");
        assert!(lines[12].starts_with("  3.0") && lines[12].ends_with('●'), "{plot}");
    }
}
