//! Paginated answers of a store as a stream that holds one page at a time.

use futures_util::{Stream, TryStreamExt, stream};

use crate::{Error, Result};

/// `read` returns a page and the marker after which the next page begins; `None` after the last page.
pub fn paginate<T, M, P>(read: impl Fn(Option<M>) -> P) -> impl Stream<Item = Result<T>>
where
    P: Future<Output = Result<(Vec<T>, Option<M>)>>,
{
    enum At<M> {
        Start,
        Mark(M),
        End,
    }
    // A call of an SDK is a large future. Boxing keeps the futures that contain it small.
    stream::try_unfold(At::Start, move |at| {
        let page = match at {
            At::Start => Some(Box::pin(read(None))),
            At::Mark(mark) => Some(Box::pin(read(Some(mark)))),
            At::End => None,
        };
        async move {
            let Some(page) = page else { return Ok::<_, Error>(None) };
            let (items, mark) = page.await?;
            Ok(Some((stream::iter(items.into_iter().map(Ok)), mark.map_or(At::End, At::Mark))))
        }
    })
    .try_flatten()
}
