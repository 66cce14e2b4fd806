//! Wrong secrets in the store: counted by compare-and-set, so that tries at one moment are counted one by one.

use super::{Result, Store, StoreError, get_u64, signed};
use crate::guessing::{Guesses, Verdict};

const COUNTING: &str = "counting tries";
/// Rounds against others who count the same; who loses them all is told to wait.
const ROUNDS: u32 = 16;

impl Store {
    /// What was counted of a subject.
    pub(crate) async fn guesses(&self, subject: &str) -> Result<Guesses> {
        let query = sqlx::query("SELECT failures, until_ns, updated_ns FROM accounts_guesses WHERE subject = $1");
        let query = query.bind(subject.to_owned());
        let Some(row) = query.fetch_optional(&self.pool).await.map_err(StoreError::of(COUNTING))? else {
            return Ok(Guesses::default());
        };
        Ok(Guesses {
            failures: u32::try_from(get_u64(&row, "failures")?).unwrap_or(u32::MAX),
            until_ns: get_u64(&row, "until_ns")?,
            updated_ns: get_u64(&row, "updated_ns")?,
        })
    }

    /// Counts a try before it is looked at.
    pub(crate) async fn count_guess(&self, subject: &str, now_ns: u64) -> Result<Verdict> {
        for _ in 0..ROUNDS {
            let before = self.guesses(subject).await?;
            let verdict = before.judge(now_ns);
            let Verdict::Look(after) = verdict else { return Ok(verdict) };
            if self.set_guesses(subject, before, after).await? {
                return Ok(verdict);
            }
        }
        Ok(Verdict::Wait(std::time::Duration::from_secs(1)))
    }

    /// Takes back a try that was counted and was not wrong.
    pub(crate) async fn forgive_guess(&self, subject: &str, now_ns: u64) -> Result<()> {
        for _ in 0..ROUNDS {
            let before = self.guesses(subject).await?;
            if before == Guesses::default() || self.set_guesses(subject, before, before.forgive(now_ns)).await? {
                break;
            }
        }
        Ok(())
    }

    /// Forgets what was counted of a subject.
    pub(crate) async fn forget_guesses(&self, subject: &str) -> Result<()> {
        let delete = sqlx::query("DELETE FROM accounts_guesses WHERE subject = $1").bind(subject.to_owned());
        delete.execute(&self.pool).await.map(drop).map_err(StoreError::of(COUNTING))
    }

    async fn set_guesses(&self, subject: &str, before: Guesses, after: Guesses) -> Result<bool> {
        let failed = StoreError::of(COUNTING);
        let (failures, until, updated) = (i64::from(after.failures), signed(after.until_ns), signed(after.updated_ns));
        let done = if before == Guesses::default() {
            let add = "INSERT INTO accounts_guesses (subject, failures, until_ns, updated_ns) VALUES ($1, $2, $3, $4) \
                ON CONFLICT DO NOTHING";
            sqlx::query(add).bind(subject.to_owned()).bind(failures).bind(until).bind(updated).execute(&self.pool).await
        } else {
            let set = "UPDATE accounts_guesses SET failures = $2, until_ns = $3, updated_ns = $4 \
                WHERE subject = $1 AND failures = $5 AND until_ns = $6 AND updated_ns = $7";
            let set = sqlx::query(set).bind(subject.to_owned()).bind(failures).bind(until).bind(updated);
            let set =
                set.bind(i64::from(before.failures)).bind(signed(before.until_ns)).bind(signed(before.updated_ns));
            set.execute(&self.pool).await
        };
        Ok(done.map_err(failed)?.rows_affected() == 1)
    }

    /// Removes what was counted before `before_ns`, at most `limit`.
    pub(crate) async fn prune_guesses(&self, before_ns: u64, limit: u32) -> Result<u64> {
        let delete = "DELETE FROM accounts_guesses WHERE subject IN \
            (SELECT subject FROM accounts_guesses WHERE updated_ns < $1 LIMIT $2)";
        let delete = sqlx::query(delete).bind(signed(before_ns)).bind(i64::from(limit));
        Ok(delete.execute(&self.pool).await.map_err(StoreError::of("removing old counts"))?.rows_affected())
    }
}
