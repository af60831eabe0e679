/** The address of a script that the build writes beside the others. */
declare module "worker:*" {
  const url: string;
  export default url;
}
